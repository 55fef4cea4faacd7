import { openMail } from "../../infra/index.ts";
import { mailAddress } from "../../shared/names.ts";
import type { Resource } from "../resource.ts";

/** The agent's mails on the shared catcher, told apart by their sender. */
export const mailbox: Resource = {
  kind: "mailbox",

  // An address needs no making; what it sends comes to be by itself.
  ensure: async ({ ledger }) => ({ address: mailAddress(ledger.id) }),

  destroy: async ({ infra, ledger }) => {
    await openMail(infra.mail).clear({ from: mailAddress(ledger.id) });
  },

  exists: async ({ infra, ledger }) => {
    const mails = await openMail(infra.mail).list({ from: mailAddress(ledger.id), limit: 1 });
    return mails.length > 0 ? `mails from ${mailAddress(ledger.id)}` : undefined;
  },
};
