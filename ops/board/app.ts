import { createBullBoard } from '@bull-board/api';
import { ExpressAdapter } from '@bull-board/express';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import { isGuardedEnvironment } from '../../src/domain/environment.ts';
import { PurgeError } from '../../src/domain/errors.ts';
import { statementFailure } from '../../src/postgres/statement-failure.ts';
import { confineBrowser, isRead, refuse, requireOwnPage } from './access.ts';
import { judgeAction } from './actions.ts';
import { PurgeQueueAdapter } from './adapter.ts';
import { recordRefusal } from './audit.ts';
import { controlPages } from './control-pages.ts';
import { purgeIdOf } from './jobs.ts';
import { renderMessage } from './pages/layout.ts';
import { fleetPath } from './pages/links.ts';
import type { BoardParts } from './parts.ts';
import { signIn } from './sign-in.ts';
import { actorOf, currentVisitor } from './visitor.ts';

/** The board as an Express application; listens nowhere yet. */
export function createBoardApp(parts: BoardParts): Express {
  const { board, environment } = parts.config;
  const bullBoard = new ExpressAdapter();
  bullBoard.setBasePath('/');
  createBullBoard({
    queues: [new PurgeQueueAdapter(parts)],
    serverAdapter: bullBoard,
    options: {
      handlerHooks: { before: (context) => judgeAction(parts, context) },
      uiConfig: {
        boardTitle: 'tenant-purge',
        environment: {
          label: environment,
          color: isGuardedEnvironment(environment) ? '#b91c1c' : '#15803d',
          textColor: '#ffffff',
        },
        hideDocsLink: true,
        jobDetails: { defaultTab: 'Progress' },
        miscLinks: [{ text: 'Fleet: pause everything, campaigns', url: fleetPath }],
      },
    },
  });

  const app = express();
  app.disable('x-powered-by');
  app.use(confineBrowser);
  app.use(signIn(board));
  app.use(requireOwnPage(board.proxy?.origin ?? null));
  app.use(logActions(parts));
  app.use(requireOperator(parts));
  app.use(meanTheOneQueue(parts));
  app.use(controlPages(parts));
  app.use('/', bullBoard.getRouter());
  app.use(answerFailure(parts));
  return app;
}

/** One line for each thing an operator did or tried; the ledger's events say what came of it. */
function logActions(parts: BoardParts): RequestHandler {
  return (request, response, next) => {
    if (!isRead(request)) {
      const { method, path } = request;
      const operator = actorOf(currentVisitor());
      response.once('finish', () => {
        parts.log.info({ operator, method, path, status: response.statusCode }, 'board action');
      });
    }
    next();
  };
}

/** A viewer sees everything and changes nothing; that one tried is written down. */
function requireOperator(parts: BoardParts): RequestHandler {
  return async (request, response, next) => {
    const { name, role } = currentVisitor();
    if (role === 'operator' || isRead(request)) {
      next();
      return;
    }
    const reason = `${name} looks only. Who may change things is said by BOARD_OPERATORS, or signs in with BOARD_PASSWORD.`;
    await recordRefusal(parts, {
      asked: `${request.method} ${request.path}`,
      reason,
      purgeId:
        request.path
          .split('/')
          .map(purgeIdOf)
          .find((id) => id !== null) ?? null,
    });
    refuse(request, response, reason);
  };
}

/**
 * Pause and resume of all queues are those of the one there is. Bull Board would pass over a queue
 * that a script has paused already, and the ledger would know of no stop.
 */
function meanTheOneQueue(parts: BoardParts): RequestHandler {
  const queue = encodeURIComponent(parts.config.queue.name);
  return (request, _, next) => {
    const all = /^\/api\/queues\/(pause|resume)$/.exec(request.path);
    if (all !== null && request.method === 'PUT') request.url = `/api/queues/${queue}/${all[1]}`;
    next();
  };
}

/** Without it a failure would be answered with the program's stack. */
function answerFailure(parts: BoardParts): ErrorRequestHandler {
  return (error: Error & { status?: number }, request, response, next) => {
    if (response.headersSent) {
      next(error);
      return;
    }
    const status = error.status ?? 500;
    if (status >= 500) parts.log.error({ err: error, path: request.path }, 'a page failed');
    response.status(status);
    const known = statementFailure(error);
    const text = known instanceof PurgeError ? `${known.message} ${known.remedy}` : error.message;
    if (request.accepts(['text', 'html']) === 'html') {
      response.type('html').send(renderMessage('That did not work', text));
    } else {
      response.type('text').send(`${text}\n`);
    }
  };
}
