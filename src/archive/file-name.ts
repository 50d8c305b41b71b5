import { createHash } from 'node:crypto';
import { PurgeError } from '../domain/errors.ts';

/** A file of an archive. */
export interface ArchiveFile {
  readonly name: string;
  readonly bytes: number;
}

/** Folders inside an archive. */
export const PURGES_FOLDER = 'purges';
export const SWEEPS_FOLDER = 'sweeps';
export const CREATED_FOLDER = 'created';

export const MANIFEST_FILE = 'manifest.json';
export const RESTORE_FILE = 'restore.sql';
export const PLACE_FILE = 'place.json';

const FENCE_DIGITS = 6;
const PART_DIGITS = 3;
const NAME_LENGTH_MAX = 100;
const HASH_DIGITS = 8;

/** Nothing that a shell, a file system or psql's \copy takes for more than a letter; no dot first. */
const SAFE_NAME = /^[A-Za-z0-9_%][A-Za-z0-9_.%-]{0,199}$/;

/** Name of a segment of rows, e.g. `000003-public.agents-001.copy.gz`. */
export const rowSegmentName = (fence: number, name: string, part: number): string =>
  `${String(fence).padStart(FENCE_DIGITS, '0')}-${safeName(name)}-${partOf(part)}.copy.gz`;

/** Name of a segment of Redis keys, e.g. `12-3-001.keys.gz`. */
export const keySegmentName = (sweepId: number, epoch: number, part: number): string =>
  `${sweepId}-${epoch}-${partOf(part)}.keys.gz`;

/** True for what `rowSegmentName` and `keySegmentName` make. */
export const isSegmentName = (name: string): boolean => /\.(copy|keys)\.gz$/.test(name);

/**
 * A name as a file name may have it: other characters as %XX of their UTF-8 bytes; what is too long is
 * cut and told apart by a hash.
 */
export function safeName(name: string): string {
  const encoded = [...Buffer.from(name, 'utf8')]
    .map((byte) => {
      const letter = String.fromCharCode(byte);
      return /[A-Za-z0-9_.-]/.test(letter)
        ? letter
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    })
    .join('');
  if (encoded.length <= NAME_LENGTH_MAX) return encoded;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, HASH_DIGITS);
  return `${encoded.slice(0, NAME_LENGTH_MAX - HASH_DIGITS - 1)}-${hash}`;
}

/** True for a name that stays in its folder and needs no quotes in a shell. */
export const isSafeName = (name: string): boolean => SAFE_NAME.test(name);

/** @throws PurgeError INTERNAL for a name that could lead out of its folder; such names come from no file of ours */
export function requireSafeName(name: string): string {
  if (isSafeName(name)) return name;
  throw new PurgeError('INTERNAL', `${JSON.stringify(name)} is no name for a file of an archive.`);
}

/** The names of a folder's path, each checked; the archive itself is the empty path. */
export const requireSafeFolder = (folder: string): readonly string[] =>
  folder === '' ? [] : folder.split('/').map(requireSafeName);

const partOf = (part: number): string => String(part).padStart(PART_DIGITS, '0');
