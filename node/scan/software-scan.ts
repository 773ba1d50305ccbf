/**
 * The minimal scan of installed software (SE-12, SE-18): the package databases of the system. A database
 * that has not been touched since the last scan is not asked again.
 */
import { stat } from "node:fs/promises";
import type { Logger } from "pino";
import type { DetectedSoftware } from "../../protocol/report.ts";
import { runBounded } from "./bounded-command.ts";
import {
  DPKG_ARGS,
  inReportOrder,
  parseDpkg,
  parseRpm,
  parseUninstallKeys,
  RPM_ARGS,
  WINDOWS_UNINSTALL_KEYS,
} from "./package-database.ts";

const TIMEOUT_MS = 60_000;
/** 20,000 packages of 200 bytes. */
const OUTPUT_MAX_BYTES = 4 * 1024 * 1024;

export interface SoftwareSource {
  readonly file: string;
  readonly args: readonly string[];
  readonly parse: (text: string) => readonly DetectedSoftware[];
  /** Files that change with every installation; none: always asked. */
  readonly databases: readonly string[];
}

/** What a system of this platform may have; absent programs find nothing. */
export function softwareSources(platform: NodeJS.Platform): readonly SoftwareSource[] {
  if (platform === "win32") {
    return WINDOWS_UNINSTALL_KEYS.map((key) => ({
      file: "reg.exe",
      args: ["query", key, "/s"],
      parse: parseUninstallKeys,
      databases: [],
    }));
  }
  return [
    {
      file: "dpkg-query",
      args: DPKG_ARGS,
      parse: parseDpkg,
      databases: ["/var/lib/dpkg/status"],
    },
    {
      file: "rpm",
      args: RPM_ARGS,
      parse: parseRpm,
      databases: ["/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite"],
    },
  ];
}

export class SoftwareScan {
  readonly #sources: readonly SoftwareSource[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #log: Logger;
  readonly #known = new Map<
    string,
    { readonly stamp: string; readonly software: readonly DetectedSoftware[] }
  >();

  constructor(
    sources: readonly SoftwareSource[],
    env: Readonly<Record<string, string>>,
    log: Logger,
  ) {
    this.#sources = sources;
    this.#env = env;
    this.#log = log;
  }

  async read(signal?: AbortSignal): Promise<readonly DetectedSoftware[]> {
    const found: DetectedSoftware[] = [];
    for (const source of this.#sources) found.push(...(await this.#readOne(source, signal)));
    return inReportOrder(found);
  }

  async #readOne(
    source: SoftwareSource,
    signal: AbortSignal | undefined,
  ): Promise<readonly DetectedSoftware[]> {
    const { file, args } = source;
    const key = [file, ...args].join(" ");
    const before = this.#known.get(key);
    const stamp = await stampOf(source.databases);
    if (before !== undefined && stamp !== undefined && before.stamp === stamp) {
      return before.software;
    }
    const end = await runBounded({
      file,
      args,
      env: this.#env,
      timeoutMs: TIMEOUT_MS,
      outputLimitBytes: OUTPUT_MAX_BYTES,
      ...(signal === undefined ? {} : { signal }),
    });
    if (end.kind === "absent") return [];
    if (end.kind === "failed" || end.exitCode !== 0) {
      // What was known stays known: a scan that failed must not look like software that is gone.
      this.#log.warn({ file, end }, "scan.sourceFailed");
      return before?.software ?? [];
    }
    const software = source.parse(end.output);
    if (stamp !== undefined) this.#known.set(key, { stamp, software });
    return software;
  }
}

async function stampOf(databases: readonly string[]): Promise<string | undefined> {
  const stamps = await Promise.all(
    databases.map(async (path) =>
      stat(path).then(
        ({ mtimeMs, ctimeMs, size, ino }) => [mtimeMs, ctimeMs, size, ino].join(),
        () => undefined,
      ),
    ),
  );
  const known = stamps.filter((stamp) => stamp !== undefined);
  return known.length === 0 ? undefined : known.join(";");
}
