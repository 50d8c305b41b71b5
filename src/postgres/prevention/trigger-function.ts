import { TEXT_LENGTH_MAX } from '../../domain/test-data/suspicious-words.ts';

/** For PostgreSQL's regular expressions, which know no categories: accents of scripts with capitals, and more. */
const MARKS =
  '\\u0300-\\u036F\\u0483-\\u0487\\u0591-\\u05BD\\u064B-\\u065F\\u1AB0-\\u1AFF\\u1DC0-\\u1DFF\\u20D0-\\u20FF\\uFE20-\\uFE2F';

/** Default_Ignorable_Code_Point: what nobody sees, the Hangul fillers among them. */
const INVISIBLE =
  '\\u00AD\\u034F\\u061C\\u115F\\u1160\\u17B4\\u17B5\\u180B-\\u180F\\u200B-\\u200F\\u202A-\\u202E\\u2060-\\u206F\\uFE00-\\uFE0F\\uFEFF\\uFFF0-\\uFFF8\\U000E0000-\\U000E0FFF';

/** Its own SQLSTATE, so that an application can tell it from other errors. */
const REFUSED_SQLSTATE = 'TP010';

/**
 * The rules of `src/domain/test-data` in SQL: words ended as `suspiciousWords` ends them, domains
 * compared with each parent. Held to the same answers by a test with random texts.
 *
 * SECURITY DEFINER, because whoever inserts a tenant need not read the lists; nothing in it is named
 * without its schema.
 * @param collation one that knows letters beyond ASCII, ready to stand in SQL: in a database of locale
 *   C the default one takes them for punctuation, and ends words at them
 */
export const triggerFunctions = (collation: string): string => `
CREATE TABLE IF NOT EXISTS tenant_purge.prevention_list (
  kind text NOT NULL CHECK (kind IN ('word', 'email-domain', 'allowed-email-domain')),
  value text NOT NULL,
  PRIMARY KEY (kind, value)
);

-- The first suspicious word of a text, or null.
CREATE OR REPLACE FUNCTION tenant_purge.prevention_word(p_text text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_text text COLLATE ${collation} := left(p_text, ${TEXT_LENGTH_MAX});
  v_pieces text COLLATE ${collation};
BEGIN
  IF octet_length(v_text) <> char_length(v_text) AND getdatabaseencoding() = 'UTF8' THEN
    -- Accents off, full-width letters to plain ones, invisible characters out.
    v_text := regexp_replace(normalize(v_text, NFKD),
      '[${MARKS}${INVISIBLE}]',
      '', 'g');
  END IF;
  v_pieces := v_text;
  v_pieces := regexp_replace(v_pieces, '([[:lower:]])(?=[[:upper:]])', '\\1 ', 'g');
  v_pieces := regexp_replace(v_pieces, '([[:upper:]])(?=[[:upper:]][[:lower:]])', '\\1 ', 'g');
  v_pieces := regexp_replace(v_pieces, '([[:alpha:]])(?=[[:digit:]])', '\\1 ', 'g');
  v_pieces := regexp_replace(v_pieces, '([[:digit:]])(?=[[:alpha:]])', '\\1 ', 'g');
  RETURN (
    SELECT l.value
    FROM regexp_split_to_table(lower(v_text || ' ' || v_pieces), '[^[:alnum:]]+') AS piece
    JOIN tenant_purge.prevention_list AS l ON l.kind = 'word' AND l.value = piece COLLATE pg_catalog."default"
    LIMIT 1);
END $$;

-- The listed domain that an address belongs to, or null.
CREATE OR REPLACE FUNCTION tenant_purge.prevention_domain(p_email text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_domain text := left(reverse(split_part(reverse(p_email), '@', 1)), 320);
  v_labels text[];
  v_suffixes text[];
BEGIN
  IF strpos(p_email, '@') = 0 THEN
    RETURN NULL;
  END IF;
  IF octet_length(v_domain) <> char_length(v_domain) AND getdatabaseencoding() = 'UTF8' THEN
    -- As IDNA maps them: full-width letters to plain ones, other full stops to dots, invisible characters out.
    v_domain := translate(regexp_replace(normalize(v_domain, NFKC), '[${INVISIBLE}]', '', 'g'), chr(12290), '.');
  END IF;
  v_labels := string_to_array(rtrim(lower(btrim(v_domain, E' \\t\\r\\n>')), '.'), '.');
  v_suffixes := ARRAY(SELECT array_to_string(v_labels[at:], '.') FROM generate_subscripts(v_labels, 1) AS at);
  IF EXISTS (SELECT FROM tenant_purge.prevention_list
             WHERE kind = 'allowed-email-domain' AND value = ANY (v_suffixes)) THEN
    RETURN NULL;
  END IF;
  RETURN (SELECT value FROM tenant_purge.prevention_list
          WHERE kind = 'email-domain' AND value = ANY (v_suffixes) ORDER BY char_length(value) DESC LIMIT 1);
END $$;

-- Arguments: the columns with the name, the subdomain and the e-mail address; '' for none. Returns the row,
-- which nobody looks at after an INSERT: a trigger of an older version, before it, would lose the row.
CREATE OR REPLACE FUNCTION tenant_purge.refuse_test_tenant() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_row jsonb := to_jsonb(NEW);
  v_name text := v_row ->> TG_ARGV[0];
  v_subdomain text := v_row ->> TG_ARGV[1];
  v_email text := v_row ->> TG_ARGV[2];
  v_admitted text := nullif(current_setting('tenant_purge.allow_signup', true), '');
  v_word text;
  v_domain text;
BEGIN
  -- Bound to one tenant: a setting that somebody forgot on a connection lets nobody else in. '*' is
  -- for imports and restores, which bring many.
  IF v_admitted = '*' OR lower(v_admitted) IN (lower(v_name), lower(v_subdomain)) THEN
    RETURN NEW;
  END IF;
  v_word := coalesce(tenant_purge.prevention_word(v_name), tenant_purge.prevention_word(v_subdomain));
  v_domain := tenant_purge.prevention_domain(v_email);
  IF v_word IS NULL AND v_domain IS NULL THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'tenant refused as test data: %',
      concat_ws(', ', 'the word "' || v_word || '"', 'the e-mail domain "' || v_domain || '"')
    USING ERRCODE = '${REFUSED_SQLSTATE}',
      TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA,
      DETAIL = 'Refused by the trigger of tenant-purge prevention on ' || TG_RELID::regclass || '.',
      HINT = 'If this tenant is meant: SELECT set_config(''tenant_purge.allow_signup'', ''<its name or subdomain>'', true) in the same transaction.';
END $$;
REVOKE EXECUTE ON FUNCTION tenant_purge.prevention_word(text), tenant_purge.prevention_domain(text) FROM PUBLIC;
`;
