/** `npm run services`: PostgreSQL and Redis for working by hand, until Ctrl-C. */
import { fileURLToPath } from 'node:url';
import { errorMessage } from './processes.ts';
import { startServices } from './start.ts';

const dataDir = fileURLToPath(new URL('../../.data/services', import.meta.url));

process.exitCode = await main();

async function main(): Promise<number> {
  const interrupted = new Promise<'signal'>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => resolve('signal'));
    }
  });
  const keepAlive = setInterval(() => undefined, 2 ** 30); // a signal handler alone does not
  try {
    const services = await startServices({ dataDir });
    process.stdout.write(`export DATABASE_URL=${services.databaseUrl}\n`);
    process.stdout.write(`export REDIS_URL=${services.redisUrl}\n`);
    process.stderr.write(`Running, data in ${dataDir}. Ctrl-C ends both.\n`);
    const reason = await Promise.race([interrupted, services.ended]);
    await services.stop();
    return reason === 'signal' ? 0 : 1;
  } catch (error) {
    process.stderr.write(`${errorMessage(error)}\n`);
    return 1;
  } finally {
    clearInterval(keepAlive);
  }
}
