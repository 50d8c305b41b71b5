import { pino } from 'pino';

/**
 * Fields of a server's error that quote rows: `detail` has a key or a whole row, `where` a line of
 * COPY or a statement of a function, `internalQuery` such a statement with its values.
 */
const ROW_FIELDS = ['detail', 'where', 'internalQuery'];
/** The server's own hints name objects only; one of a function may say anything. */
const FUNCTION_FIELDS = ['hint'];
/** What a cause is worth besides its message and stack, which stand with those of the error. */
const CAUSE_FIELDS = ['code', 'severity', 'schema', 'table', 'column', 'constraint', 'routine'];

const CENSOR = '[redacted]';
const CAUSES_MAX = 10;

type ErrorFields = Readonly<Record<string, unknown>>;

/**
 * An error as a log line has it: type, message and stack with those of its causes, the facts that its
 * thrower attached, and under `causes` the SQLSTATE, table and constraint of each cause. A server's
 * error loses what quotes rows unless `rowData`; its message stays, as PostgreSQL wrote it. Pure;
 * anything but an error comes back as it is.
 */
export function errorFields(thrown: unknown, options: { readonly rowData: boolean }): unknown {
  if (!(thrown instanceof Error)) return thrown;
  const causes = causesOf(thrown);
  return {
    ...withoutRows({ ...pino.stdSerializers.err(thrown) }, options),
    ...('errors' in thrown && Array.isArray(thrown.errors)
      ? { aggregateErrors: thrown.errors.map((each: unknown) => errorFields(each, options)) }
      : {}),
    ...(causes.length === 0 ? {} : { causes: causes.map((cause) => causeFields(cause, options)) }),
  };
}

function causesOf(error: Error): Error[] {
  const causes: Error[] = [];
  let { cause } = error;
  while (cause instanceof Error && !causes.includes(cause) && causes.length < CAUSES_MAX) {
    causes.push(cause);
    ({ cause } = cause);
  }
  return causes;
}

function causeFields(cause: Error, options: { readonly rowData: boolean }): ErrorFields {
  const own: ErrorFields = Object.fromEntries(Object.entries(cause));
  const names = options.rowData
    ? [...CAUSE_FIELDS, ...ROW_FIELDS, ...FUNCTION_FIELDS]
    : CAUSE_FIELDS;
  const known = names.filter((name) => typeof own[name] === 'string');
  return { type: cause.name, ...Object.fromEntries(known.map((name) => [name, own[name]])) };
}

/** Also of errors that stand among the fields of another. */
function withoutRows(fields: ErrorFields, options: { readonly rowData: boolean }): ErrorFields {
  if (options.rowData) return fields;
  const isServers = typeof fields['severity'] === 'string' && typeof fields['code'] === 'string';
  const quoting = new Set([
    ...(isServers ? ROW_FIELDS : []),
    ...(isServers && typeof fields['where'] === 'string' ? FUNCTION_FIELDS : []),
  ]);
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => {
      if (quoting.has(name) && value !== undefined) return [name, CENSOR];
      return [name, isSerializedError(value) ? withoutRows({ ...value }, options) : value];
    }),
  );
}

const isSerializedError = (value: unknown): value is ErrorFields =>
  typeof value === 'object' &&
  value !== null &&
  'stack' in value &&
  'message' in value &&
  typeof value.message === 'string';
