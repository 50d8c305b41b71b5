import { EXIT } from '../../../src/domain/errors.ts';
import { aborted } from '../../../workers/purge-worker.ts';
import { defineCommand } from '../command.ts';
import { writeLine } from '../io.ts';

/** Serves Bull Board until it is told to stop. */
export const board = defineCommand<null>({
  usage: 'board',
  summary: 'Serve Bull Board until Ctrl-C; BOARD_HOST, BOARD_PORT, BOARD_PASSWORD',
  examples: ['board'],
  describe: (command) => command,
  validate: () => null,
  handlesInterrupt: true,
  run: async (session) => {
    const config = await session.config();
    // Its web server is loaded by nobody who does not want it.
    const { runBoardProcess } = await import('../../board/main.ts');
    const running = await runBoardProcess(config);
    const { url } = running;
    // Said at once, not at the end.
    writeLine(session.io.stdout, session.json ? JSON.stringify({ url }) : `Bull Board: ${url}`);
    session.note('Ctrl-C ends it; the purges go on without it.');
    await aborted(session.io.interrupted);
    await running.stop();
    return { exitCode: EXIT.done, document: undefined, text: '' };
  },
});
