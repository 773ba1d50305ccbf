/** `coordinator`: runs it until a signal ends it; its log goes to stderr as JSON lines. */
import { pino } from "pino";
import { INTENT_SETTINGS_DEFAULT, type IntentSettings } from "../core/intent/intent-settings.ts";
import { runCoordinator, type ReadyInfo } from "../main.ts";
import type { HostPort } from "./arguments.ts";
import type { Session } from "./terminal.ts";

export interface CoordinatorOptions {
  readonly data: string;
  readonly listen: HostPort;
  readonly insecureHttp?: boolean;
  readonly publicUrl?: string;
  readonly trustedProxy?: string;
  /** In milliseconds, as the three below. */
  readonly keepSucceeded?: number;
  readonly keepFailed?: number;
  readonly wakeExpiry?: number;
  readonly offlineAfter?: number;
  readonly json?: boolean;
}

export async function coordinator(options: CoordinatorOptions, session: Session): Promise<void> {
  const { terminal, environment, signal } = session;
  await runCoordinator({
    dataDir: options.data,
    listen: options.listen,
    isInsecureHttp: options.insecureHttp === true,
    ...(options.publicUrl === undefined ? {} : { publicUrl: options.publicUrl }),
    ...(options.trustedProxy === undefined ? {} : { trustedProxy: options.trustedProxy }),
    intent: intentSettings(options),
    signal,
    log: pino({ level: environment.logLevel }, pino.destination(2)),
    onReady: (ready) => {
      terminal.writeOut(`${options.json === true ? JSON.stringify(ready) : readyText(ready)}\n`);
    },
  });
}

function intentSettings(options: CoordinatorOptions): IntentSettings {
  const { kept, wake } = INTENT_SETTINGS_DEFAULT;
  const { wakeExpiry = wake.expiryMs, offlineAfter = wake.offlineAfterMs } = options;
  return {
    kept: {
      succeededMs: options.keepSucceeded ?? kept.succeededMs,
      failedMs: options.keepFailed ?? kept.failedMs,
    },
    wake: { expiryMs: wakeExpiry, offlineAfterMs: offlineAfter },
  };
}

function readyText({ url, publicUrl }: ReadyInfo): string {
  return `listening on ${url}${publicUrl === undefined ? "" : `, others reach it at ${publicUrl}`}`;
}
