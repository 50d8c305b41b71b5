import { type ErrorDetails, PurgeError } from '../domain/errors.ts';

/** What was written did not become durable, or reads back as something else. */
export function writeFailed(what: string, cause: unknown, details: ErrorDetails = {}): PurgeError {
  if (cause instanceof PurgeError) return cause;
  const code = errnoOf(cause);
  return new PurgeError('ARCHIVE_FAILED', `${what}: ${reasonOf(cause)}.`, {
    cause,
    details: { ...details, ...(code === null ? {} : { errno: code }) },
    ...remedyOfErrno(code),
  });
}

/** What was archived cannot be read as it was written. */
export function damaged(
  what: string,
  details: ErrorDetails,
  options: { readonly cause?: unknown; readonly remedy?: string } = {},
): PurgeError {
  return new PurgeError('ARCHIVE_DAMAGED', what, { details, ...options });
}

/** A failed read of the file system; not damage where only the permission is missing. */
export function readFailed(what: string, cause: unknown, details: ErrorDetails): PurgeError {
  if (cause instanceof PurgeError) return cause;
  const code = errnoOf(cause);
  const remedy =
    code === 'EACCES' || code === 'EPERM'
      ? { remedy: 'Run as the user that wrote the archive: its folders are 0700, its files 0600.' }
      : {};
  return damaged(`${what}: ${reasonOf(cause)}.`, { ...details, errno: code }, { cause, ...remedy });
}

/** `ENOENT`, `ENOSPC`, …; null for what is no error of the system. */
export function errnoOf(thrown: unknown): string | null {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : null;
  return typeof code === 'string' ? code : null;
}

const reasonOf = (cause: unknown): string => {
  const code = errnoOf(cause);
  const known = code === null ? undefined : REASONS[code];
  if (code !== null && known !== undefined) return `${known} (${code})`;
  return (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, '');
};

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota is used up',
  EFBIG: 'the file would be larger than allowed',
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  EROFS: 'the file system is read-only',
  ENOTDIR: 'what should be a folder is a file',
  EEXIST: 'what should be a folder is a file',
  EISDIR: 'what should be a file is a folder',
  ENOENT: 'it is not there',
  EIO: 'the disk reports an error',
  ESTALE: 'the shared storage lost the file',
  EMFILE: 'this process has too many files open',
  ENFILE: 'this host has too many files open',
};

function remedyOfErrno(code: string | null): { remedy?: string } {
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return {
        remedy: 'Free space where the archive lies, then go on; nothing was deleted unarchived.',
      };
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
    case 'ENOTDIR':
    case 'EEXIST':
      return {
        remedy:
          'Make archive.dir a folder that the worker’s user may write to, then go on; nothing was deleted unarchived.',
      };
    default:
      return {};
  }
}
