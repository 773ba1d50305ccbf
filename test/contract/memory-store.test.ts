import { openMemoryStore } from "../../coordinator/store/memory-store.ts";
import { describeStore } from "./store.contract.ts";

describeStore("memory", async () => ({ open: async () => openMemoryStore() }));
