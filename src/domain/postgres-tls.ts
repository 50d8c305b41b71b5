import { nearestMatch } from './near-miss.ts';

/**
 * What is asked of the server's certificate: `none`, no TLS at all; `if-offered`, TLS where the
 * server has it, unverified; `unverified`, encrypted, whoever answers; `chain`, signed by the CA;
 * `chain-and-name`, and made for the host name of the URL.
 */
type TlsDemand = 'none' | 'if-offered' | 'unverified' | 'chain' | 'chain-and-name';

export interface PostgresTls {
  readonly demand: TlsDemand;
  /** PEM file of the CA; null: those that Node.js knows, and NODE_EXTRA_CA_CERTS. */
  readonly rootFile: string | null;
  /** The client's own certificate and key, where the server asks for them. */
  readonly certificateFile: string | null;
  readonly keyFile: string | null;
  readonly keyPassphrase: string | null;
}

/** libpq's words, in libpq's meaning. */
const DEMANDS: Readonly<Record<string, TlsDemand>> = {
  disable: 'none',
  allow: 'if-offered',
  prefer: 'if-offered',
  require: 'unverified',
  'verify-ca': 'chain',
  'verify-full': 'chain-and-name',
};
/** The driver's own word for what libpq calls `require`; old URLs have it. */
const NO_VERIFY = 'no-verify';
/** libpq's name for the CAs of the system. */
const SYSTEM_ROOTS = 'system';
const PARAMETERS = [
  'sslmode',
  'ssl',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'sslpassword',
  'uselibpqcompat',
];

/**
 * Reads the TLS parameters of a PostgreSQL URL as libpq does: `require` encrypts without looking at
 * the certificate, unless a CA is named, which makes it `verify-ca`. A URL without any is in the
 * clear, as the driver has it; one that has only `ssl=true` or a file is verified in full. Over a
 * Unix socket there is no TLS. The URL must have passed `postgresTlsProblems`. Pure.
 */
export function readPostgresTls(url: string): PostgresTls {
  const { searchParams, hostname } = new URL(url);
  const value = (name: string): string | null => searchParams.get(name) || null;
  const root = value('sslrootcert');
  const rootFile = root === SYSTEM_ROOTS ? null : root;
  const isSocket = (value('host') ?? decodeURIComponent(hostname)).startsWith('/');
  return {
    demand: isSocket ? 'none' : demandOf(value('sslmode'), value('ssl'), value, rootFile),
    rootFile,
    certificateFile: value('sslcert'),
    keyFile: value('sslkey'),
    keyPassphrase: value('sslpassword'),
  };
}

/** What is wrong with the TLS parameters, one text a problem; what is no URL has none. Pure. */
export function postgresTlsProblems(url: string): string[] {
  if (!URL.canParse(url)) return [];
  const { searchParams } = new URL(url);
  const mode = searchParams.get('sslmode') || null;
  const root = searchParams.get('sslrootcert') || null;
  if (mode !== null && mode !== NO_VERIFY && !(mode in DEMANDS)) {
    const modes = Object.keys(DEMANDS);
    const near = nearestMatch(mode, modes);
    const meant = near === null ? '' : `; did you mean "${near}"?`;
    return [`sslmode "${mode}" is none of ${modes.join(', ')}${meant}`];
  }
  if (mode === 'verify-ca' && (root === null || root === SYSTEM_ROOTS)) {
    // Anybody can have a certificate of a public CA: without the name it proves nothing.
    return ['sslmode=verify-ca needs sslrootcert=FILE of your own CA; or use sslmode=verify-full'];
  }
  if (root === SYSTEM_ROOTS && mode !== null && mode !== 'verify-full') {
    return [`sslrootcert=system needs sslmode=verify-full, not ${mode}`];
  }
  return [];
}

/** The URL with PGSSLMODE and PGSSLROOTCERT, where it does not say so itself. Pure. */
export function inheritPostgresTls(
  url: string,
  inherited: { readonly mode: string | null; readonly rootFile: string | null },
): string {
  if (!URL.canParse(url) || (inherited.mode ?? inherited.rootFile) === null) return url;
  const whole = new URL(url);
  const { searchParams } = whole;
  const saysItself = searchParams.has('sslmode') || searchParams.has('ssl');
  if (inherited.mode !== null && !saysItself) searchParams.set('sslmode', inherited.mode);
  if (inherited.rootFile !== null && searchParams.has('sslmode')) {
    if (!searchParams.has('sslrootcert')) searchParams.set('sslrootcert', inherited.rootFile);
  }
  return whole.href;
}

/** The URL for a driver that is told about TLS by other means. Pure. */
export function withoutPostgresTls(url: string): string {
  const whole = new URL(url);
  if (!PARAMETERS.some((name) => whole.searchParams.has(name))) return url;
  for (const name of PARAMETERS) whole.searchParams.delete(name);
  return whole.href;
}

function demandOf(
  mode: string | null,
  ssl: string | null,
  value: (name: string) => string | null,
  rootFile: string | null,
): TlsDemand {
  if (mode === NO_VERIFY || (mode === null && ssl === NO_VERIFY)) return 'unverified';
  if (mode === null) {
    const isWanted = ssl === 'true' || ssl === '1';
    const hasFile = ['sslrootcert', 'sslcert', 'sslkey'].some((name) => value(name) !== null);
    return isWanted || hasFile ? 'chain-and-name' : 'none';
  }
  const demand = DEMANDS[mode] ?? 'chain-and-name';
  return demand === 'unverified' && rootFile !== null ? 'chain' : demand;
}
