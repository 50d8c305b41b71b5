import { describe, expect, it } from 'vitest';
import type { ArchiveChunk, ArchiveLayout } from '../../../src/domain/archive.ts';
import { asTableName } from '../../../src/domain/ids.ts';
import { planUnits, tablesOf } from '../../../src/engine/restore/restore-plan.ts';
import type { Target, TargetKey, TargetTable } from '../../../src/postgres/restore/target.ts';

interface Shape {
  readonly [table: string]: { readonly rows: number; readonly refers: readonly string[] };
}

/** `parent` refers by a nullable column, `!parent` by one that is NOT NULL. */
function plan(shape: Shape): unknown[] {
  const names = Object.keys(shape);
  const keys: TargetKey[] = [];
  const tables = new Map<ReturnType<typeof asTableName>, TargetTable>();
  for (const name of names) {
    const refers = shape[name]?.refers ?? [];
    const columns = [
      { name: 'id', notNull: true },
      ...refers.map((parent, at) => ({ name: `r${at}`, notNull: parent.startsWith('!') })),
    ];
    for (const [at, parent] of refers.entries()) {
      keys.push({
        name: `${name}.${at}`,
        child: asTableName(name),
        childPartition: null,
        columns: [`r${at}`],
        parent: asTableName(parent.replace('!', '')),
        parentRelation: asTableName(parent.replace('!', '')),
        referenced: ['id'],
        operators: ['='],
        matchFull: false,
        period: false,
      });
    }
    tables.set(asTableName(name), {
      name: asTableName(name),
      partitioned: false,
      columns: columns.map((column) => ({
        ...column,
        type: 'integer',
        hasDefault: false,
        generated: false,
        expression: null,
        reads: [],
        fill: null,
        identity: false,
      })),
      primaryKey: ['id'],
      uniques: [],
      checks: [],
      triggers: [],
      rowSecurity: false,
      missingPrivileges: [],
      estimatedRows: -1,
      sequences: [],
      leafConditions: null,
      partitionColumns: [],
    });
  }
  const target: Target = { tables, keys, mayMakeTemporary: true };
  const layouts = [...tables.values()].map(
    ({ name, columns }): ArchiveLayout => ({
      id: name,
      table: name,
      relation: name,
      columns: columns.map((each) => ({
        name: each.name,
        type: each.type,
        generated: false,
        identity: null,
      })),
      primaryKey: ['id'],
    }),
  );
  const chunks = names.map(
    (name, seq): ArchiveChunk => ({
      seq,
      kind: 'deleted',
      table: asTableName(name),
      layout: name,
      rows: shape[name]?.rows ?? 0,
      fence: 1,
      level: '',
      step: '',
      goesLater: false,
      segment: '',
      offset: 0,
      length: 0,
      rawBytes: 0,
      sha256: '',
      chain: '',
    }),
  );
  return planUnits(tablesOf({ layouts, chunks }, target), keys).map((unit) => {
    if (unit.kind === 'copy') return unit.table.table;
    const members = unit.tables.map(({ table }) => table).join('+');
    return unit.kind === 'together'
      ? `together ${members}`
      : `link ${members} ${JSON.stringify([...unit.links])}`;
  });
}

const MANY = 1_000_000;

describe('The order of a restore', () => {
  it('puts parents before children', () => {
    const shape = {
      a: { rows: 1, refers: ['!b', '!c'] },
      b: { rows: 1, refers: ['c'] },
      c: { rows: 1, refers: [] },
    };
    expect(plan(shape)).toEqual(['c', 'b', 'a']);
  });

  it('puts few rows of a circle or a tree back at once', () => {
    const shape = {
      a: { rows: 9, refers: ['!b'] },
      b: { rows: 9, refers: ['a'] },
      t: { rows: 5, refers: ['t', '!a'] },
    };
    expect(plan(shape)).toEqual(['together a+b', 'together t']);
  });

  it('leaves references of a large circle or tree empty at first, as few as it takes', () => {
    const shape = {
      a: { rows: MANY, refers: ['!b'] },
      b: { rows: MANY, refers: ['a'] },
      t: { rows: MANY, refers: ['t'] },
    };
    expect(plan(shape)).toEqual(['link b+a [["b",["r0"]]]', 'link t [["t",["r0"]]]']);
  });

  it('puts a large circle back at once where no reference of it can be empty', () => {
    const shape = { a: { rows: MANY, refers: ['!b'] }, b: { rows: MANY, refers: ['!a'] } };
    expect(plan(shape)).toEqual(['together a+b']);
  });
});
