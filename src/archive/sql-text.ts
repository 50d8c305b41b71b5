/** A string as SQL takes it, with standard_conforming_strings on. */
export const literal = (value: string): string => `'${value.replaceAll("'", "''")}'`;

export const literals = (values: readonly string[]): string => values.map(literal).join(', ');

/** An identifier as SQL takes it, always in quotes. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** A DO block around a body of PL/pgSQL, whatever stands in it. */
export function doBlock(body: string): string {
  let tag = '$purge$';
  for (let number = 1; body.includes(tag); number += 1) tag = `$purge${number}$`;
  return `do ${tag}\n${body}\n${tag};`;
}

/** Lines of a comment; no value in it can end it. */
export const comment = (text: string): string =>
  text
    .split(/\r\n|[\n\r\v\f\u0085\u2028\u2029]/)
    .map((line) => `-- ${line}`.trimEnd())
    .join('\n');
