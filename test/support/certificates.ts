import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** PEM files of a certificate authority and of a server that it vouches for. */
export interface TestCertificates {
  readonly caFile: string;
  /** Of an authority that has signed nothing here. */
  readonly otherCaFile: string;
  readonly server: { readonly certificateFile: string; readonly keyFile: string };
  remove(): void;
}

const DAY_MS = 86_400_000;

/**
 * Makes certificates by hand: node:crypto signs but issues none, the openssl program is not on every
 * machine, and forty lines of DER are less than a dependency.
 * @param dnsName the only name the server's certificate is for
 * @param server.startsInDays since when it is valid; it lasts a day
 */
export function makeCertificates(
  dnsName: string,
  server: { readonly startsInDays: number } = { startsInDays: -0.5 },
): TestCertificates {
  const folder = mkdtempSync(join(tmpdir(), 'certificates-'));
  const write = (name: string, text: string): string => {
    const file = join(folder, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const ca = makeKeys();
  const other = makeKeys();
  const own = makeKeys();
  const authority = (keys: Keys, name: string): string =>
    certificate({ subject: name, issuer: name, keys, signer: keys, startsInDays: -1, days: 3 });
  return {
    caFile: write('ca.pem', authority(ca, 'test authority')),
    otherCaFile: write('other-ca.pem', authority(other, 'other authority')),
    server: {
      certificateFile: write(
        'server.pem',
        certificate({
          subject: dnsName,
          issuer: 'test authority',
          keys: own,
          signer: ca,
          dnsName,
          startsInDays: server.startsInDays,
          days: 1,
        }),
      ),
      keyFile: write(
        'server.key',
        own.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      ),
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

interface Keys {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

interface Certificate {
  readonly subject: string;
  readonly issuer: string;
  readonly keys: Keys;
  readonly signer: Keys;
  /** Without it the certificate is an authority's. */
  readonly dnsName?: string;
  readonly startsInDays: number;
  readonly days: number;
}

const makeKeys = (): Keys => generateKeyPairSync('ec', { namedCurve: 'prime256v1' });

// Object identifiers, encoded.
const ECDSA_WITH_SHA256 = '2a8648ce3d040302';
const COMMON_NAME = '550403';
const BASIC_CONSTRAINTS = '551d13';
const SUBJECT_ALT_NAME = '551d11';

/** X.509 version 3, RFC 5280, as PEM. */
function certificate(wanted: Certificate): string {
  const starts = Date.now() + wanted.startsInDays * DAY_MS;
  const algorithm = sequence(objectId(ECDSA_WITH_SHA256));
  const extension = (id: string, value: Buffer): Buffer =>
    sequence(objectId(id), der(0x04, sequence(value)));
  const extensions =
    wanted.dnsName === undefined
      ? extension(BASIC_CONSTRAINTS, der(0x01, Buffer.from([0xff])))
      : extension(SUBJECT_ALT_NAME, der(0x82, Buffer.from(wanted.dnsName, 'latin1')));
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    name(wanted.issuer),
    sequence(time(starts), time(starts + wanted.days * DAY_MS)),
    name(wanted.subject),
    wanted.keys.publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(extensions)),
  );
  const signature = sign('sha256', body, wanted.signer.privateKey);
  const whole = sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

const name = (text: string): Buffer =>
  sequence(der(0x31, sequence(objectId(COMMON_NAME), der(0x0c, Buffer.from(text)))));

/** UTCTime, good until 2049. */
const time = (ms: number): Buffer =>
  der(0x17, Buffer.from(`${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`));

const objectId = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));

const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, Buffer.concat(parts));

function der(tag: number, value: Buffer): Buffer {
  const { length } = value;
  const size = length < 0x80 ? [length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), value]);
}
