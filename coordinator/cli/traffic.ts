/** `traffic`: where the bytes came from, by site and package, or by endpoint. */
import { WAN_REASONS, type Traffic, type WanReason } from "../../protocol/traffic.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { bytesText } from "./quantities.ts";
import { tableText } from "./table.ts";
import { printResult, type Session } from "./terminal.ts";

export interface TrafficOptions extends OperatorOptions {
  readonly site?: string;
  readonly package?: string;
  readonly endpoints?: boolean;
}

const REASON_HEADINGS: Readonly<Record<WanReason, string>> = {
  lease: "FIRST COPY",
  holderUnreachable: "HOLDER GONE",
  noProgress: "NO PROGRESS",
  refetched: "REFETCHED",
  broken: "BROKEN OFF",
};

export async function showTraffic(options: TrafficOptions, session: Session): Promise<void> {
  await using client = await openClient(options, session);
  const traffic = await client.traffic({
    ...(options.site === undefined ? {} : { site: options.site }),
    ...(options.package === undefined ? {} : { package: options.package }),
  });
  const text = options.endpoints === true ? endpointsText(traffic) : sitesText(traffic);
  printResult(session.terminal, options.json, traffic, text);
}

export function sitesText({ sites }: Traffic): string {
  if (sites.length === 0) return "nothing was sent yet\n";
  // Most fleets have no origin but the coordinator.
  const hasPlain = sites.some(({ plainBytes = 0 }) => plainBytes > 0);
  const rows = sites.map((line) => [
    line.isAway ? `${line.site} (away)` : line.site,
    `${line.package}@${line.version}`,
    line.ratio === 0 ? "-" : line.ratio.toFixed(3),
    ...WAN_REASONS.map((reason) => amountText(line.wan[reason])),
    ...(hasPlain ? [amountText(line.plainBytes ?? 0)] : []),
    ...sourceCells(line.sources),
    String(line.endpointCount),
  ]);
  const reasons = WAN_REASONS.map((reason) => REASON_HEADINGS[reason]);
  const plain = hasPlain ? ["HTTPS ORIGINS"] : [];
  const sources = ["LOCAL", "PEERS", "DP", "ORIGIN"];
  return tableText(
    ["SITE", "PACKAGE", "RATIO", ...reasons, ...plain, ...sources, "ENDPOINTS"],
    rows,
  );
}

export function endpointsText({ endpoints }: Traffic): string {
  if (endpoints.length === 0) return "no endpoint has reported yet\n";
  const rows = endpoints.map((line) => [
    line.endpoint,
    line.site,
    `${line.package}@${line.version}`,
    ...sourceCells(line.sources),
  ]);
  return tableText(["ENDPOINT", "SITE", "PACKAGE", "LOCAL", "PEERS", "DP", "ORIGIN"], rows);
}

function sourceCells({ local, peer, dp, origin }: Traffic["sites"][number]["sources"]) {
  return [local, peer, dp, origin].map(amountText);
}

function amountText(sizeBytes: number): string {
  return sizeBytes === 0 ? "-" : bytesText(sizeBytes);
}
