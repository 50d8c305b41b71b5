import { hostname, userInfo } from 'node:os';

/** Who acts, for the ledger: `user@host`. */
export function operatorIdentity(): string {
  return `${userName()}@${hostname()}`;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container's user need not have a name.
    return `uid${process.getuid?.() ?? ''}`;
  }
}
