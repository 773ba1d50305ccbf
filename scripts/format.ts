/** Formats the whole project: `npm run format`. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const result = spawnSync("oxfmt", process.argv.slice(2), { cwd: root, stdio: "inherit" });
process.exitCode = result.status ?? 1;
