/** The name that redis-py gave it. */
const CA_PARAMETER = 'ssl_ca_certs';

/** The PEM file of the CA that a `rediss://` URL names, or null: those that Node.js knows. Pure. */
export function redisCaFile(url: string): string | null {
  return new URL(url).searchParams.get(CA_PARAMETER) || null;
}

/** A `rediss://` URL with the CA's file, where it names none itself; any other as it is. Pure. */
export function inheritRedisCa(url: string, caFile: string | null): string {
  if (caFile === null || !URL.canParse(url)) return url;
  const whole = new URL(url);
  if (whole.protocol !== 'rediss:' || redisCaFile(url) !== null) return url;
  whole.searchParams.set(CA_PARAMETER, caFile);
  return whole.href;
}
