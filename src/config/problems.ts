import { z } from 'zod';
import { PurgeError } from '../domain/errors.ts';
import { HAZARD_TYPES } from '../domain/hazard.ts';
import { nearestMatch } from '../domain/near-miss.ts';
import { parseKeyTemplate } from '../redis/key-template.ts';
import { configSchema, type FileConfig } from './schema.ts';

/** What the file says, or everything that is wrong with it, one line a problem. */
export type Checked<Value> =
  | { readonly value: Value; readonly problems: readonly [] }
  | { readonly value: null; readonly problems: readonly string[] };

/** Checks what a configuration file exports. Never throws; names every problem. Pure. */
export function checkFile(input: unknown): Checked<FileConfig> {
  const parsed = configSchema.safeParse(input, { reportInput: true });
  const problems = [
    ...(parsed.success ? [] : parsed.error.issues.flatMap(describeIssue)),
    // Of the input, not of the result: they are wanted beside the schema's problems.
    ...textsAt(input, ['keep']).flatMap((id) => keepProblems('keep', id)),
    ...textsAt(input, ['allow']).flatMap(allowProblems),
    ...textsAt(input, ['redis', 'keys']).flatMap(templateProblems),
  ];
  return parsed.success && problems.length === 0
    ? { value: parsed.data, problems: [] }
    : { value: null, problems };
}

/** What is wrong with one id of a keep list: a keep list protects, so nothing in it is ignored. */
export function keepProblems(place: string, id: string): string[] {
  if (id.trim() === '') return [`${place}: an id is blank; remove it or name the tenant`];
  if (id !== id.trim()) return [`${place}: the id "${id}" has blanks around it; remove them`];
  if (/[*?%]/.test(id)) {
    return [`${place}: "${id}" has a wildcard, which is never expanded; name each tenant`];
  }
  return [];
}

/** `; did you mean "levels"?`, or nothing where no candidate is near. */
export function suggestion(word: string, candidates: readonly string[]): string {
  const near = nearestMatch(word, candidates);
  return near === null ? '' : `; did you mean "${near}"?`;
}

function describeIssue(issue: z.core.$ZodIssue): string[] {
  const place = issue.path.length === 0 ? 'file' : issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(issue.path);
    return issue.keys.map(
      (key) => `${[...issue.path, key].join('.')}: unknown key${suggestion(key, known)}`,
    );
  }
  if (issue.code === 'invalid_value') {
    const values = issue.values.map(String);
    const near = typeof issue.input === 'string' ? suggestion(issue.input, values) : '';
    return [`${place}: must be one of ${values.join(', ')}${near}`];
  }
  if (issue.code === 'invalid_key') {
    return issue.issues.map((inner) => `${place}: the key ${inner.message}`);
  }
  if (issue.code === 'invalid_type') {
    return [
      issue.input === undefined
        ? `${place}: is missing; expected ${issue.expected}`
        : `${place}: expected ${issue.expected}, not ${kindOf(issue.input)}`,
    ];
  }
  return [`${place}: ${issue.message}`];
}

/** The keys the schema knows at a path. */
function keysAt(path: readonly PropertyKey[]): string[] {
  let schema: unknown = configSchema;
  for (const step of path) {
    schema = unwrap(schema);
    if (schema instanceof z.ZodObject) schema = schema.shape[String(step)];
    else if (schema instanceof z.ZodRecord) schema = schema.valueType;
    else return [];
  }
  schema = unwrap(schema);
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

function unwrap(schema: unknown): unknown {
  const isWrapped =
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable;
  return isWrapped ? unwrap(schema.unwrap()) : schema;
}

function allowProblems(type: string): string[] {
  if (HAZARD_TYPES.some((known) => known === type)) return [];
  return [`allow: "${type}" is no hazard${suggestion(type, HAZARD_TYPES)}`];
}

function templateProblems(template: string): string[] {
  // The schema says so already.
  if (!template.includes('{tenantId}')) return [];
  try {
    parseKeyTemplate(template);
    return [];
  } catch (thrown) {
    if (thrown instanceof PurgeError) return [`redis.keys: ${thrown.message}`];
    throw thrown;
  }
}

function textsAt(input: unknown, path: readonly string[]): string[] {
  let value = input;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return [];
    value = Object.getOwnPropertyDescriptor(value, step)?.value;
  }
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}
