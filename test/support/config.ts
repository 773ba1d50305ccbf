/** Sizes of tests that can be run small, at every change, or large, at night. */
const isNightly = process.env["BRANCHLINE_NIGHTLY"] === "1";

/** Cases of a property over whole worlds. */
export const WORLD_CASES = isNightly ? 10_000 : 500;
/** For them on a busy machine. */
export const WORLD_TIMEOUT_MS = isNightly ? 1_800_000 : 60_000;
