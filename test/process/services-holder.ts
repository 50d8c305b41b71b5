/** A process that holds services until it is killed: `services-holder.ts OPTIONS_AS_JSON`. */
import { startServices } from '../../ops/services/start.ts';

const services = await startServices(JSON.parse(process.argv[2] ?? ''));
process.stdout.write(
  `${JSON.stringify({ databaseUrl: services.databaseUrl, redisUrl: services.redisUrl })}\n`,
);
setInterval(() => undefined, 60_000);
