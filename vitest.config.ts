import { defineConfig } from "vitest/config";

// The quick projects share one process (no isolation): 100 files cost 0.7 s instead of 12 s.
// Integration, end-to-end and lab tests start processes and sockets, so each file gets its own worker.
const quick = ["unit", "property", "vectors", "contract", "simulation", "tidy"];
const slow = ["integration", "e2e", "lab"];
// Slowness is no failure: a limit only ends what hangs.
const quickLimitMs = 60_000;
const setupFiles = ["test/support/case-seed.ts"];

export default defineConfig({
  test: {
    projects: [
      ...quick.map((name) => ({
        test: {
          name,
          include: [`test/${name}/**/*.test.ts`],
          isolate: false,
          setupFiles,
          testTimeout: quickLimitMs,
          hookTimeout: quickLimitMs,
        },
      })),
      ...slow.map((name) => ({
        test: {
          name,
          include: [`test/${name}/**/*.test.ts`],
          setupFiles,
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 120_000,
        },
      })),
    ],
  },
});
