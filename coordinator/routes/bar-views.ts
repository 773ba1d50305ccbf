/** Bars as operators see them: in a list, as notices of the fleet, and on the pages of one endpoint. */
import type { EndpointId } from "../../protocol/ids.ts";
import type { Notice } from "../../protocol/operator-api.ts";
import type { BarNote, BarView } from "../../protocol/standing.ts";
import type { Bar } from "../core/standing/standing.ts";
import { TABLES } from "../store/tables.ts";
import { instant } from "./job-views.ts";
import type { Parts } from "./parts.ts";

export function barViews(parts: Parts): BarView[] {
  return [...parts.standing.bars(parts.now()).values()].map((bar) => viewOf(parts, bar));
}

function viewOf({ records, standing }: Parts, { endpoint, ...bar }: Bar): BarView {
  const nameOf = (id: string): string => records.get(TABLES.endpoints, id)?.name ?? id;
  const reporters = standing.reportersOf(endpoint).map(nameOf);
  return { endpoint, name: nameOf(endpoint), ...bar, reporters };
}

/** One notice for each endpoint that is kept out of its site. */
export function barNotices(parts: Parts): readonly Notice[] {
  return barViews(parts).map((bar) => ({
    code: "ENDPOINT_BARRED",
    message: messageText(bar),
    hint: hintText(bar),
  }));
}

/** The bar of one endpoint, ready for a field of its pages; empty where nothing is held against it. */
export function barField(parts: Parts, endpoint: EndpointId): { readonly bar?: BarNote } {
  const bar = parts.standing.bars(parts.now()).get(endpoint);
  if (bar === undefined) return {};
  const view = viewOf(parts, bar);
  const { reason, sinceMs, untilMs } = view;
  const until = untilMs === undefined ? {} : { until: instant(untilMs) };
  const texts = { text: messageText(view), hint: adviceText(view.name) };
  return { bar: { reason, since: instant(sinceMs), ...until, ...texts } };
}

function messageText(bar: BarView): string {
  return `${bar.name} is barred from its site: ${reasonText(bar)}`;
}

function reasonText({ reason, reporters }: BarView): string {
  switch (reason) {
    case "proof":
      return `it signed a wrong digest for a fragment that it sent to ${reporters.join(", ")}`;
    case "reports":
      return `${reporters.join(", ")} say that it sends wrong bytes`;
    case "doubt":
      return "it says of many others that they send wrong bytes, and nobody else does";
    default:
      return reason satisfies never;
  }
}

function hintText({ name, untilMs }: BarView): string {
  const end = untilMs === undefined ? "" : `It ends by itself at ${instant(untilMs)}. `;
  return end + adviceText(name);
}

function adviceText(name: string): string {
  return `Check the machine and its program, then: branchline ban lift ${name}`;
}
