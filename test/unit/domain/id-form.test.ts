import { describe, expect, it } from 'vitest';
import { idFormOf, spellingOf } from '../../../src/domain/id-form.ts';

const UUID = '31c06fc4-db22-4740-83ea-48ac14f25810';

describe('A text as an id', () => {
  it.each([
    ['uuid', UUID, 'exact'],
    ['uuid', UUID.toUpperCase(), 'other'],
    ['uuid', UUID.replaceAll('-', ''), 'other'],
    ['uuid', `{${UUID}}`, 'other'],
    ['uuid', UUID.slice(1), 'none'],
    ['uuid', `${UUID}0`, 'none'],
    ['uuid', UUID.replace('3', 'g'), 'none'],
    ['uuid', 'settings', 'none'],
    ['bigint', '0', 'exact'],
    ['bigint', '-7', 'exact'],
    ['bigint', '9223372036854775807', 'exact'],
    ['bigint', '9223372036854775808', 'none'],
    ['bigint', '-9223372036854775808', 'exact'],
    ['bigint', '99999999999999999999', 'other'],
    ['integer', '2147483648', 'none'],
    ['smallint', '32768', 'none'],
    ['smallint', '-32768', 'exact'],
    ['bigint', '007', 'other'],
    ['bigint', '+7', 'other'],
    ['bigint', '-0', 'other'],
    ['bigint', '7a', 'none'],
    ['bigint', '', 'none'],
    ['text', 'acme', 'exact'],
    ['text', '', 'none'],
    ['text', 'a\0b', 'none'],
    ['text', 'é'.repeat(1_353), 'none'],
    ['character varying(3)', 'été', 'exact'],
    ['character varying(3)', '𝒜𝒜𝒜', 'exact'],
    ['character varying(3)', 'acme', 'none'],
    ['character(4)', 'ab  ', 'other'],
    ['citext', 'acme', 'other'],
    ['numeric(10,2)', '1.00', 'other'],
  ] as const)('of type %s: %j is %s', (type, text, spelling) => {
    expect(spellingOf(idFormOf(type), text)).toBe(spelling);
  });
});
