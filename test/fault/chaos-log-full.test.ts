import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { expect, test } from 'vitest';

const LOGGER = new URL('../../src/observability/logger.ts', import.meta.url).href;
const FULL = '/dev/full';

test.skipIf(!existsSync(FULL))(
  'a log without room for another line does not end the process that writes it',
  async () => {
    const program = `
      import { createLogger } from ${JSON.stringify(LOGGER)};
      const log = createLogger({ level: 'info', name: 'worker' });
      for (let line = 0; line < 1_000; line += 1) log.warn({ line, pad: 'x'.repeat(2_000) }, 'batch');
      await new Promise((resolve) => setTimeout(resolve, 10));
      console.log('still there');`;
    const full = openSync(FULL, 'a');
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', program],
      { stdio: ['ignore', 'pipe', full] },
    );
    closeSync(full);
    let stdout = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    await once(child, 'close');
    expect({ exitCode: child.exitCode, stdout }).toEqual({ exitCode: 0, stdout: 'still there\n' });
  },
);
