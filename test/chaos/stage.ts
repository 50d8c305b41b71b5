import type { Redis } from 'ioredis';
import type { Pool } from 'pg';
import type { Fleet } from './fleet.ts';
import type { RoundPlan } from './round-plan.ts';
import type { ChaosServers } from './servers.ts';
import type { TcpProxy } from './tcp-proxy.ts';

/** What a fault can lay hands on. */
export interface Stage {
  readonly plan: RoundPlan;
  readonly servers: ChaosServers;
  readonly fleet: Fleet;
  readonly databaseUrl: string;
  /** The round's own folder of archives; there only where the round archives. */
  readonly archiveDir: string;
  /** Between each seat and PostgreSQL. */
  readonly postgresProxies: readonly TcpProxy[];
  /** Between every process and Redis. */
  readonly redisProxy: TcpProxy;
  /** Straight to the servers, for the suite itself. */
  readonly pool: Pool;
  readonly redis: Redis;
  readonly campaignId: string;
  /** Says in the evidence what was done, and when. */
  note(text: string): void;
}
