import { EXIT } from '../../../src/domain/errors.ts';
import { examine } from '../../../src/runtime/doctor.ts';
import { defineCommand } from '../command.ts';
import { plural, wrap } from '../output/text.ts';

/** Is everything as a purge needs it? Writes nothing. */
export const doctor = defineCommand<null>({
  usage: 'doctor',
  summary:
    'Check versions, privileges, keys, ledger, archive and Redis; exit 2 where something is wrong',
  examples: ['doctor'],
  describe: (command) => command,
  validate: () => null,
  run: async (session) => {
    const { colors, columns } = session;
    const checks = await examine(await session.config());
    const wrong = checks.filter(({ verdict }) => verdict === 'wrong').length;
    const marks = { right: colors.green('✓'), mind: colors.yellow('!'), wrong: colors.red('✗') };
    return {
      exitCode: wrong === 0 ? EXIT.done : EXIT.usage,
      document: { ok: wrong === 0, checks },
      text: [
        ...checks.flatMap(({ verdict, name, message, remedy }) => [
          wrap(`${marks[verdict]} ${name}: ${message}`, columns),
          ...(remedy === null ? [] : [wrap(`→ ${remedy}`, columns, '    ')]),
        ]),
        '',
        wrong === 0
          ? colors.green('Ready. Next: tenant-purge plan')
          : colors.red(`${plural(wrong, 'check')} failed.`),
      ].join('\n'),
    };
  },
});
