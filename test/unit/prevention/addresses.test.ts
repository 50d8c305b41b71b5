import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addressKey,
  clientAddress,
  parseNetworks,
} from '../../../src/prevention/client-address.ts';
import { emailKey, isEmail } from '../../../src/prevention/email-address.ts';

describe('The key that an address is counted under', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['64:ff9b::192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80::/64'],
    ['::1', '::/64'],
  ])('%s → %s', (text, key) => {
    expect(addressKey(text)).toBe(key);
  });

  it.each([
    '',
    'unknown',
    '0x7f.1',
    '010.0.0.1',
    '1.2.3',
    '1.2.3.4.5',
    '127.1',
    '2001:db8::1::2',
    '::ffff:1.2.3',
    '1'.repeat(200),
  ])('%j is no address', (text) => {
    expect(addressKey(text)).toBeNull();
  });

  it('is one for all addresses of a /64 and another for the next', () => {
    const part = fc.integer({ min: 0, max: 0xffff }).map((number) => number.toString(16));
    fc.assert(
      fc.property(fc.array(part, { minLength: 4, maxLength: 4 }), (host) => {
        expect(addressKey(`2001:db8:7:8:${host.join(':')}`)).toBe('2001:db8:7:8::/64');
        expect(addressKey(`2001:db8:7:9:${host.join(':')}`)).toBe('2001:db8:7:9::/64');
      }),
    );
  });
});

describe('Where a request comes from', () => {
  const trusted = parseNetworks(
    ['127.0.0.1', '10.0.0.0/8', '2001:db8:ffff::/48'],
    'trustedProxies',
  );

  it.each([
    ['nobody is believed who is no proxy of ours', '203.0.113.5', '192.0.2.1', '203.0.113.5'],
    ['a proxy is believed', '10.0.0.1', '192.0.2.1', '192.0.2.1'],
    ['a proxy without the header is the caller', '10.0.0.1', undefined, '10.0.0.1'],
    ['what the caller made up stands left', '10.0.0.1', '1.1.1.1, 192.0.2.1', '192.0.2.1'],
    [
      'a chain of proxies is followed',
      '127.0.0.1',
      '1.1.1.1,192.0.2.1,10.9.9.9, 10.1.1.1',
      '192.0.2.1',
    ],
    [
      'a made-up entry of a trusted network does not help',
      '10.0.0.1',
      '10.2.2.2, 192.0.2.1',
      '192.0.2.1',
    ],
    ['what cannot be read ends the chain', '10.0.0.1', '192.0.2.1, unknown', '10.0.0.1'],
    ['only proxies: the one farthest away', '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['ports are no part of it', '10.0.0.1', '192.0.2.1:4711', '192.0.2.1'],
    ['nor brackets', '10.0.0.1', '[2001:db8::1]:4711', '2001:db8::1'],
    ['mapped addresses are IPv4', '::ffff:10.0.0.1', '::ffff:192.0.2.1', '192.0.2.1'],
    ['a proxy may speak IPv6', '2001:db8:ffff::7', '192.0.2.1', '192.0.2.1'],
    ['an empty header says nothing', '10.0.0.1', '', '10.0.0.1'],
    ['a socket without address has none', undefined, '192.0.2.1', null],
  ])('%s', (_title, remote, header, address) => {
    expect(clientAddress(remote, header, trusted)).toBe(address);
  });

  it('is never what a caller that is no proxy writes', () => {
    fc.assert(
      fc.property(fc.string(), (header) => {
        expect(clientAddress('203.0.113.5', header, trusted)).toBe('203.0.113.5');
      }),
    );
  });

  it('is never moved by what stands left of the entry that our proxy added', () => {
    fc.assert(
      fc.property(fc.string(), (header) => {
        expect(clientAddress('10.0.0.1', `${header}, 192.0.2.1`, trusted)).toBe('192.0.2.1');
      }),
    );
  });
});

describe('The key that a mailbox is counted under', () => {
  it.each([
    ['Jane.Doe+a@GMAIL.com', 'janedoe@gmail.com'],
    ['j.a.n.e.doe@googlemail.com', 'janedoe@gmail.com'],
    ['Jane.Doe@acme.com', 'jane.doe@acme.com'],
    ['jane+1+2@acme.com', 'jane@acme.com'],
    ['+tag@acme.com', '+tag@acme.com'],
    ['jane-shop@yahoo.com', 'jane@yahoo.com'],
    ['jane-shop@yahoo.co.uk', 'jane@yahoo.co.uk'],
    ['jane-shop@ymail.com', 'jane@ymail.com'],
    ['jane-doe@acme.com', 'jane-doe@acme.com'],
    ['jane-doe@yahoo.acme.com', 'jane-doe@yahoo.acme.com'],
    ['ja\u200bne@acme.com', 'jane@acme.com'],
    ['jane@me.com', 'jane@icloud.com'],
    ['j.a-n_e@protonmail.com', 'jane@proton.me'],
    ['shop@jane.fastmail.com', 'jane@fastmail.com'],
    ['jane+shop@fastmail.com', 'jane@fastmail.com'],
    ['jane@münchen.de', 'jane@xn--mnchen-3ya.de'],
    ['jane@acme.com.', 'jane@acme.com'],
    ['ｊａｎｅ@acme.com', 'jane@acme.com'],
    ['...@gmail.com', '...@gmail.com'],
  ])('%s → %s', (email, key) => {
    expect(emailKey(email)).toBe(key);
  });

  it('is the same for what it gives, and for any spelling of a Gmail address', () => {
    const letters = fc.stringMatching(/^[a-z][a-z0-9]{2,20}$/);
    fc.assert(
      fc.property(
        letters,
        fc.array(fc.boolean(), { minLength: 21, maxLength: 21 }),
        (user, dots) => {
          const spelled = user
            .split('')
            .map((letter, at) => (dots[at] ? `${letter.toUpperCase()}.` : letter));
          const mailbox = spelled.join('').replace(/\.$/, '');
          const key = emailKey(`${mailbox}+${user}@googlemail.com`);
          expect(key).toBe(`${user}@gmail.com`);
          expect(emailKey(key)).toBe(key);
        },
      ),
    );
  });

  it('is had of whatever is an address', () => {
    fc.assert(
      fc.property(fc.emailAddress(), (email) => {
        if (!isEmail(email)) return;
        expect(emailKey(emailKey(email))).toBe(emailKey(email));
      }),
    );
  });
});
