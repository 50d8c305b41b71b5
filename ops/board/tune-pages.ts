import { type Request, type Response, Router } from 'express';
import { PurgeError } from '../../src/domain/errors.ts';
import type { Knobs } from '../../src/domain/load.ts';
import { isLive } from '../../src/domain/purge.ts';
import type { PurgeRecord } from '../../src/domain/records.ts';
import type { EffectiveKnobs } from '../../src/engine/throttle.ts';
import {
  ThrottleStore,
  type TuningChange,
  type TuningScope,
} from '../../src/postgres/ledger/throttle.ts';
import { KNOB_NAMES, parseKnobs } from '../cli/knobs.ts';
import { recordRefusal } from './audit.ts';
import { type Came, fieldOf, notFound, purgeOf, sendPage } from './page-answers.ts';
import { fleetPath, purgePath } from './pages/links.ts';
import { KNOB_LABELS, renderTunePage, type TypedKnobs } from './pages/tune-form.ts';
import type { BoardParts } from './parts.ts';
import { actorOf, currentVisitor } from './visitor.ts';

/** What is tuned: all purges, or one. */
interface Target {
  readonly scope: TuningScope;
  /** In words, e.g. `the purge of Northwind`. */
  readonly what: string;
  readonly back: string;
  /** Null for all purges. */
  readonly purge: PurgeRecord | null;
}

const FLEET_TARGET: Target = { scope: 'fleet', what: 'all purges', back: fleetPath, purge: null };

/**
 * `tenant-purge tune` as forms, of the fleet and of one purge: pages of their own, one click from those
 * that show what is tuned.
 */
export function tunePages(parts: BoardParts): Router {
  const router = Router();
  const answers = { get: showForm, set: turn, clear: takeBack } as const;
  const onPurge =
    (answer: (typeof answers)[keyof typeof answers]) =>
    async (request: Request, response: Response): Promise<void> => {
      const purge = await purgeOf(parts, request);
      if (purge === null) return notFound(response, 'purge');
      await answer(parts, request, response, targetOf(purge));
    };
  for (const [path, target] of [
    [fleetPath, FLEET_TARGET],
    ['/purges/:id', null],
  ] as const) {
    const route =
      (answer: (typeof answers)[keyof typeof answers]) =>
      (request: Request, response: Response): Promise<void> =>
        target === null
          ? onPurge(answer)(request, response)
          : answer(parts, request, response, target);
    router.get(`${path}/tune`, route(answers.get));
    router.post(`${path}/tune`, route(answers.set));
    router.post(`${path}/tune/clear`, route(answers.clear));
  }
  return router;
}

/** As this process is configured; workers may have been given another file. */
export const configuredKnobs = ({ config }: BoardParts): EffectiveKnobs => ({
  targetMs: config.batch.targetMs,
  maxRows: config.batch.maxRows,
  rowsPerSecMax: config.throttle.rowsPerSecMax,
});

const targetOf = (purge: PurgeRecord): Target => ({
  scope: purge.id,
  what: `the purge of ${purge.tenantLabel}`,
  back: purgePath(purge.id),
  purge,
});

async function showForm(
  parts: BoardParts,
  _: Request,
  response: Response,
  target: Target,
): Promise<void> {
  await sendForm(parts, response, target, { typed: {}, wrong: null });
}

/** Turns what was typed and leaves the rest; all or nothing. */
async function turn(
  parts: BoardParts,
  request: Request,
  response: Response,
  target: Target,
): Promise<void> {
  const typed = typedKnobs(request);
  const knobs = judge(typed);
  if (knobs instanceof PurgeError) {
    await noteRefusal(parts, target, knobs.message);
    response.status(422);
    await sendForm(parts, response, target, { typed, wrong: knobs.message });
    return;
  }
  await change(parts, response, target, { kind: 'set', knobs });
}

const takeBack = (
  parts: BoardParts,
  _: Request,
  response: Response,
  target: Target,
): Promise<void> => change(parts, response, target, { kind: 'clear' });

/** The ledger's own event names the visitor; what a purge that has ended refuses is written down too. */
async function change(
  parts: BoardParts,
  response: Response,
  target: Target,
  wanted: TuningChange,
): Promise<void> {
  let came: Came = 'tuned';
  if (target.purge !== null && !isLive(target.purge.status)) {
    await noteRefusal(parts, target, `the purge is ${target.purge.status}`);
    came = 'idle';
  } else {
    const store = new ThrottleStore(parts.database);
    await store.tune(target.scope, wanted, actorOf(currentVisitor()));
  }
  response.redirect(303, `${target.back}?came=${came}`);
}

const noteRefusal = (parts: BoardParts, target: Target, reason: string): Promise<void> =>
  recordRefusal(parts, {
    asked: `tune of ${target.what}`,
    reason,
    purgeId: target.purge?.id ?? null,
  });

function judge(typed: TypedKnobs): Knobs | PurgeError {
  try {
    const knobs = parseKnobs(typed, (knob) => KNOB_LABELS[knob]);
    if (Object.keys(knobs).length > 0) return knobs;
    return new PurgeError(
      'USAGE',
      'Nothing was typed: a field that is left empty changes nothing.',
    );
  } catch (error) {
    if (error instanceof PurgeError) return error;
    throw error;
  }
}

function typedKnobs(request: Request): TypedKnobs {
  const typed = KNOB_NAMES.map((knob) => [knob, fieldOf(request, knob)] as const);
  return Object.fromEntries(typed.filter(([, text]) => text !== ''));
}

async function sendForm(
  parts: BoardParts,
  response: Response,
  target: Target,
  was: { readonly typed: TypedKnobs; readonly wrong: string | null },
): Promise<void> {
  const { tuned, fleetTuned } = await new ThrottleStore(parts.database).read(target.scope);
  const main = renderTunePage({
    what: target.what,
    visitor: currentVisitor(),
    knobs: {
      own: target.purge === null ? null : tuned,
      fleet: fleetTuned,
      configured: configuredKnobs(parts),
    },
    path: target.back,
    ...was,
  });
  sendPage(parts, response, { title: `Tune ${target.what}`, live: false, main });
}
