import { createHash } from 'node:crypto';
import type { ManifestSegment } from '../domain/archive.ts';

export const sha256Of = (bytes: Uint8Array | string): string =>
  createHash('sha256').update(bytes).digest('hex');

/** The chain after a chunk: sha256 of the chain before it and its own digest, both as hex text. */
export const chainDigest = (previous: string, sha256: string): string =>
  sha256Of(`${previous}${sha256}`);

/** sha256 over the lines `name bytes chain`, in order of name. */
export function manifestDigest(segments: readonly ManifestSegment[]): string {
  const lines = [...segments]
    .sort((left, right) => (left.name < right.name ? -1 : 1))
    .map(({ name, bytes, chain }) => `${name} ${bytes} ${chain}\n`);
  return sha256Of(lines.join(''));
}
