import { defineConfig } from "vitest/config";

// The quick projects share one process (no isolation): 100 files cost 0.7 s instead of 12 s.
// Integration, end-to-end and lab tests start processes and sockets, so each file gets its own worker.
const quick = ["unit", "property", "vectors", "contract", "simulation", "tidy"];
const slow = ["integration", "e2e", "lab"];

export default defineConfig({
  test: {
    projects: [
      ...quick.map((name) => ({
        test: { name, include: [`test/${name}/**/*.test.ts`], isolate: false },
      })),
      ...slow.map((name) => ({
        test: {
          name,
          include: [`test/${name}/**/*.test.ts`],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 120_000,
        },
      })),
    ],
  },
});
