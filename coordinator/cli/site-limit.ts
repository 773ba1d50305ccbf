/** `site limit`: what packages may use of a site's line. */
import { DeployError } from "../../protocol/errors.ts";
import { parseSiteName } from "../../protocol/ids.ts";
import type { SitePolicy } from "../../protocol/traffic.ts";
import { rehearse } from "./dry-run.ts";
import type { ChangingOptions } from "./group.ts";
import { openClient } from "./operator.ts";
import { rateText } from "./rates.ts";
import { printResult, type Session } from "./terminal.ts";

export interface LimitOptions extends ChangingOptions {
  /** Rates in bytes per second. */
  readonly down?: number;
  readonly peerUpload?: number;
  readonly hours?: string;
  readonly zone?: string;
  readonly background?: boolean;
  readonly foreground?: boolean;
  readonly clear?: boolean;
}

/** Without an option it shows what is set. */
export async function limitSite(
  nameText: string,
  options: LimitOptions,
  session: Session,
): Promise<void> {
  const name = parseSiteName(nameText);
  const change = changeOf(options);
  await using client = await openClient(options, session);
  const known = options.clear === true ? {} : (await client.sitePolicy(name)).policy;
  const isChange = options.clear === true || Object.keys(change).length > 0;
  const wanted = { ...known, ...change };
  if (options.dryRun === true) {
    const path = `/v1/sites/${encodeURIComponent(name)}/policy`;
    return await rehearse(client, { method: "PUT", path, json: wanted }, options, session);
  }
  const { policy } = isChange ? await client.setSitePolicy(name, wanted) : { policy: wanted };
  const text = `site ${name}: ${policyText(policy)}\n`;
  printResult(session.terminal, options.json, { site: name, policy }, text);
}

/** One line for a person; "no limits" where nothing is set. */
export function policyText(policy: SitePolicy): string {
  const { downBytesPerSec, hours, zone, peerUploadBytesPerSec } = policy;
  const parts = [
    downBytesPerSec === undefined ? "" : `at most ${rateText(downBytesPerSec)} over the line`,
    hours === undefined ? "" : `in the hours ${hours}${zone === undefined ? "" : ` (${zone})`}`,
    policy.class === "background" ? "gives way to other traffic" : "",
    peerUploadBytesPerSec === undefined
      ? ""
      : `each endpoint sends at most ${rateText(peerUploadBytesPerSec)}`,
  ];
  return parts.filter((part) => part !== "").join("; ") || "no limits";
}

function changeOf(options: LimitOptions): SitePolicy {
  if (options.background === true && options.foreground === true) {
    throw new DeployError("CLI_USAGE", {
      problem: "--background and --foreground exclude each other",
      remedy: "Give one of them.",
    });
  }
  const { down, hours, zone, peerUpload } = options;
  return {
    ...(down === undefined ? {} : { downBytesPerSec: down }),
    ...(hours === undefined ? {} : { hours }),
    ...(zone === undefined ? {} : { zone }),
    ...(peerUpload === undefined ? {} : { peerUploadBytesPerSec: peerUpload }),
    ...(options.background === true ? { class: "background" } : {}),
    ...(options.foreground === true ? { class: "foreground" } : {}),
  };
}
