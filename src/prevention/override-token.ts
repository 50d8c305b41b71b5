import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  randomUUID,
} from 'node:crypto';
import { errors, jwtVerify, SignJWT } from 'jose';
import { PurgeError } from '../domain/errors.ts';
import type { SharedMemory } from './shared-memory.ts';

/** Says that a token is one of ours, whatever else the key signs. */
const ISSUER = 'tenant-purge';
const TYPE = 'tenant-purge-override+jwt';
const SECRET_BYTES_MIN = 32;
/** A token is for now; one that lies around is a key. */
export const TOKEN_AGE_MAX_MS = 7 * 86_400_000;
const CLOCK_TOLERANCE_SEC = 5;
const TOKEN_LENGTH_MAX = 4_096;

/** With which key, and by the only algorithm that it stands for; the token has no say in that. */
interface TokenKey {
  readonly key: KeyObject;
  readonly algorithm: 'HS256' | 'EdDSA';
}

interface MintOptions {
  /** PEM of an Ed25519 private key, or a secret of at least 32 bytes. */
  readonly key: string;
  /** The service that the token is for, e.g. `signup.example.com`. */
  readonly audience: string;
  /** The only subdomain that it is good for; the name, where tenants have no subdomain. */
  readonly subject: string;
  readonly forMs: number;
  /** Who made it: for the log. */
  readonly operator: string;
}

/** A signed token that lets one tenant through once. @throws PurgeError CONFIG_INVALID, USAGE */
export async function mintOverrideToken(
  options: MintOptions,
): Promise<{ readonly token: string; readonly id: string; readonly expiresAt: Date }> {
  const { key, algorithm } = readKey(options.key, 'private');
  const subject = caseless(options.subject);
  if (subject === '' || options.audience === '' || !(options.forMs > 0)) {
    throw new PurgeError('USAGE', 'A token needs an audience, a subject and a time to live.');
  }
  if (options.forMs > TOKEN_AGE_MAX_MS) {
    throw new PurgeError('USAGE', 'A token lives 7 days at most.');
  }
  const id = randomUUID();
  const issuedSec = Math.floor(Date.now() / 1_000);
  const expiresSec = issuedSec + Math.ceil(options.forMs / 1_000);
  const token = await new SignJWT({ operator: options.operator })
    .setProtectedHeader({ alg: algorithm, typ: TYPE })
    .setIssuer(ISSUER)
    .setAudience(options.audience)
    .setSubject(subject)
    .setJti(id)
    .setIssuedAt(issuedSec)
    .setExpirationTime(expiresSec)
    .sign(key);
  return { token, id, expiresAt: new Date(expiresSec * 1_000) };
}

export interface OverrideSettings {
  /** PEM of the Ed25519 public key, or the secret. */
  readonly key: string;
  readonly audience: string;
}

type OverrideAnswer =
  | { readonly kind: 'accepted'; readonly id: string; readonly operator: string }
  | { readonly kind: 'refused'; readonly why: string };

/** Judges tokens; each is good once, in whatever process. */
export class OverrideTokens {
  readonly #key: TokenKey;
  readonly #audience: string;
  readonly #memory: SharedMemory;

  /** @throws PurgeError CONFIG_INVALID for a key that is none */
  constructor(settings: OverrideSettings, memory: SharedMemory) {
    this.#key = readKey(settings.key, 'public');
    this.#audience = settings.audience;
    this.#memory = memory;
  }

  /**
   * Spends the token where it is good. Never throws. Without Redis it is refused, whatever else is let
   * in then: nobody could say that it was not used before.
   * @param subjects subdomain and name of the tenant; the token is for one of them
   */
  async spend(token: string, subjects: readonly string[]): Promise<OverrideAnswer> {
    if (token.length > TOKEN_LENGTH_MAX) return refused('it is longer than any');
    try {
      const { payload } = await jwtVerify(token, this.#key.key, {
        algorithms: [this.#key.algorithm],
        typ: TYPE,
        issuer: ISSUER,
        audience: this.#audience,
        requiredClaims: ['sub', 'jti', 'exp', 'iat'],
        maxTokenAge: TOKEN_AGE_MAX_MS / 1_000,
        clockTolerance: CLOCK_TOLERANCE_SEC,
      });
      const { sub = '', jti = '', exp = 0, operator } = payload;
      // A list of audiences would make one token good for several services.
      if (Array.isArray(payload.aud)) return refused('it has several audiences');
      if (!subjects.map(caseless).includes(sub)) return refused('it is for another tenant');
      const leftMs = exp * 1_000 - Date.now() + 2 * CLOCK_TOLERANCE_SEC * 1_000;
      if (jti === '' || leftMs > TOKEN_AGE_MAX_MS + 60_000) return refused('it lives too long');
      const isFirst = await this.#memory.isFirst('override', jti, {
        forMs: Math.max(leftMs, 1),
        late: 'forget',
      });
      if (!isFirst) return refused('it was used before');
      return {
        kind: 'accepted',
        id: jti,
        operator: typeof operator === 'string' ? operator : 'unknown',
      };
    } catch (error) {
      return refused(error instanceof errors.JOSEError ? error.code : 'Redis did not answer');
    }
  }
}

/** A PEM is Ed25519; anything else is a secret shared by whoever signs and whoever verifies. */
function readKey(text: string, use: 'private' | 'public'): TokenKey {
  const trimmed = text.trim();
  if (!trimmed.startsWith('-----BEGIN')) {
    const secret = Buffer.from(trimmed);
    if (secret.byteLength < SECRET_BYTES_MIN) {
      throw unusable(
        `it has ${secret.byteLength} bytes; a secret has at least ${SECRET_BYTES_MIN}`,
      );
    }
    return { key: createSecretKey(secret), algorithm: 'HS256' };
  }
  let key: KeyObject;
  try {
    key = use === 'private' ? createPrivateKey(trimmed) : createPublicKey(trimmed);
  } catch (error) {
    throw unusable(`it is no ${use} key`, error);
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw unusable(`it is ${key.asymmetricKeyType ?? 'of no known kind'}, not ed25519`);
  }
  return { key, algorithm: 'EdDSA' };
}

const unusable = (why: string, cause?: unknown): PurgeError =>
  new PurgeError('CONFIG_INVALID', `The key for override tokens cannot be used: ${why}.`, {
    cause,
    remedy:
      'Make one: openssl genpkey -algorithm ed25519 -out override.pem; the guard has openssl pkey -in override.pem -pubout.',
  });

const caseless = (text: string): string => text.trim().normalize('NFKC').toLowerCase();

const refused = (why: string): OverrideAnswer => ({ kind: 'refused', why });
