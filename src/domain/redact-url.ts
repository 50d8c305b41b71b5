/** Parameters of connection URLs that carry a secret, e.g. `?password=…` of libpq. */
const SECRET_PARAMETERS = ['password', 'sslpassword'];

/**
 * The URL as it may be shown to people and logs: user, host, port and database, never a password.
 * Text that is no URL is not shown at all, since nobody knows where its password stands. Pure.
 */
export function redactUrl(url: string): string {
  if (!URL.canParse(url)) return '(not a URL)';
  const shown = new URL(url);
  // A password with an unescaped "/" or "?" ends up here.
  if ((shown.pathname + shown.search).includes('@')) return `${shown.protocol}//***`;
  if (shown.password !== '') shown.password = '***';
  for (const name of SECRET_PARAMETERS) {
    if (shown.searchParams.has(name)) shown.searchParams.set(name, '***');
  }
  // What follows an unescaped "#" may be the rest of a password.
  shown.hash = '';
  return shown.href;
}
