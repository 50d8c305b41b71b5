import type { CliCommand } from './command.ts';

/** Commands under one word: `prevention install`, `prevention expire`. */
export function defineGroup(group: {
  readonly name: string;
  readonly summary: string;
  readonly examples: readonly string[];
  readonly commands: readonly CliCommand[];
}): CliCommand {
  return {
    attach(program, host) {
      const parent = program.command(group.name).description(group.summary);
      const examples = group.examples.map((line) => `  $ tenant-purge ${line}`).join('\n');
      parent.addHelpText('after', `\nExamples:\n${examples}`);
      for (const command of group.commands) command.attach(parent, host);
    },
  };
}
