import { hostname } from 'node:os';

/** `host:pid` of this process, for people. */
export const processIdentity = (): string => `${hostname()}:${process.pid}`;
