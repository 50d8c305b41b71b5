import { execFileSync } from 'node:child_process';

/** True where `psql` is; says so once where it is not, for then a part of the tests is left out. */
export const hasPsql = ((): boolean => {
  try {
    execFileSync('psql', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn(
      'No psql: restore.sql is not tested. Install it: apt-get install postgresql-client',
    );
    return false;
  }
})();
