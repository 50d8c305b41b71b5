import { AsyncLocalStorage } from 'node:async_hooks';

/** Who looks at the board, as far as it knows. */
export interface Visitor {
  readonly name: string;
  /** `viewer`: sees everything, changes nothing. */
  readonly role: 'operator' | 'viewer';
}

/** Where nobody signs in: only that it was somebody on this machine is known. */
export const LOCAL: Visitor = { name: 'local', role: 'operator' };

/**
 * Bull Board hands its adapter no request. What it does for one runs in that request's context, so
 * this is where the adapter learns for whom.
 */
const visitors = new AsyncLocalStorage<Visitor>();

export const asVisitor = <Result>(visitor: Visitor, work: () => Result): Result =>
  visitors.run(visitor, work);

/** @throws Error outside of a request; nothing is ever done for nobody */
export function currentVisitor(): Visitor {
  const visitor = visitors.getStore();
  if (visitor === undefined) throw new Error('The board was asked for something by nobody.');
  return visitor;
}

/** How the ledger names who acts: the CLI's are `user@host`, these `name@board`. */
export const actorOf = (visitor: Visitor): string => `${visitor.name}@board`;
