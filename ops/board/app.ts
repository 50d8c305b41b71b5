import { createBullBoard } from '@bull-board/api';
import { ExpressAdapter } from '@bull-board/express';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import { isGuardedEnvironment } from '../../src/domain/environment.ts';
import type { Actor } from '../../src/runtime/compose.ts';
import { confineBrowser, requireOwnHost, requireOwnPage, requirePassword } from './access.ts';
import { judgeAction } from './actions.ts';
import { PurgeQueueAdapter } from './adapter.ts';

/** What the board needs of the composed process. */
export type BoardParts = Pick<Actor, 'config' | 'queue' | 'purges' | 'commands' | 'log'>;

/** The board as an Express application; listens nowhere yet. */
export function createBoardApp(parts: BoardParts): Express {
  const { board, environment } = parts.config;
  const bullBoard = new ExpressAdapter();
  bullBoard.setBasePath('/');
  createBullBoard({
    queues: [new PurgeQueueAdapter(parts.queue)],
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
      },
    },
  });

  const app = express();
  app.disable('x-powered-by');
  app.use(confineBrowser);
  app.use(board.password === null ? requireOwnHost : requirePassword(board.user, board.password));
  app.use(requireOwnPage);
  app.use(logActions(parts));
  app.use('/', bullBoard.getRouter());
  app.use(answerFailure(parts));
  return app;
}

/** One line for each thing an operator did or tried; who it was only as far as the board knows. */
function logActions(parts: BoardParts): RequestHandler {
  const operator = parts.config.board.password === null ? 'board' : parts.config.board.user;
  return (request, response, next) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      const { method, path } = request;
      response.once('finish', () => {
        parts.log.info({ operator, method, path, status: response.statusCode }, 'board action');
      });
    }
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
    response.status(status).type('text').send(`${error.message}\n`);
  };
}
