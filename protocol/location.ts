/**
 * Location: what an endpoint can say of where it is, and the ordered criteria that place it in a site.
 * The coordinator places by them at every check-in; the agent checks them again before it uses a DP
 * (MYP-8, MYP-26, BR-5).
 */
import { Type, type Static } from "typebox";
import { EndpointIdSchema, SiteNameSchema } from "./ids.ts";

const closed = { additionalProperties: false } as const;
export const IpTextSchema = Type.String({
  minLength: 2,
  maxLength: 45,
  pattern: "^[0-9A-Fa-f:.]+$",
});

/** One criterion. A site's list is ordered; the first that matches decides. */
export const CriterionSchema = Type.Union([
  Type.Object({ kind: Type.Literal("subnet"), cidr: Type.String({ maxLength: 50 }) }, closed),
  Type.Object(
    { kind: Type.Literal("publicAddress"), cidr: Type.String({ maxLength: 50 }) },
    closed,
  ),
  Type.Object(
    { kind: Type.Literal("hostName"), pattern: Type.String({ minLength: 1, maxLength: 100 }) },
    closed,
  ),
  Type.Object({ kind: Type.Literal("gateway"), address: IpTextSchema }, closed),
]);
export type Criterion = Static<typeof CriterionSchema>;

/** What the endpoint reports at every check-in. */
export const LocationFactsSchema = Type.Object(
  {
    hostName: Type.String({ minLength: 1, maxLength: 255 }),
    addresses: Type.Array(IpTextSchema, { maxItems: 64 }),
    gateways: Type.Array(IpTextSchema, { maxItems: 16 }),
  },
  closed,
);
export type LocationFacts = Static<typeof LocationFactsSchema>;

/** A libp2p address of a node, such as /ip4/10.91.0.10/tcp/4001. */
export const MultiaddrSchema = Type.String({
  minLength: 5,
  maxLength: 200,
  pattern: "^/[\\x21-\\x7e]+$",
});

/** A distribution point as the roster names it; `rank` 0 is tried first. */
export const DpCandidateSchema = Type.Object(
  {
    endpoint: EndpointIdSchema,
    site: SiteNameSchema,
    rank: Type.Integer({ minimum: 0, maximum: 1000 }),
    addresses: Type.Array(MultiaddrSchema, { maxItems: 16 }),
  },
  closed,
);
export type DpCandidate = Static<typeof DpCandidateSchema>;
