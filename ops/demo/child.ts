/**
 * A tenant-purge command as a child of the demo. Ends at once when the demo is gone: a purge is safe
 * against that, and nothing may be left running.
 */
process.once('disconnect', () => process.exit());

await import('../cli/main.ts');
// The channel to the demo must not keep a command alive that has ended.
process.channel?.unref();
