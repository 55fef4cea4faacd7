import { openMail } from "../../infra/index.ts";
import { everyAgentId, mailAddress } from "../../shared/names.ts";
import { contextOfNobody, type Resource } from "../resource.ts";

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

  listMarked: async (search) => {
    // A mail carries no mark; on a catcher that others use too it may be of another harness's agent.
    if (search.infra.mail.external) return [];
    const mails = await openMail(search.infra.mail).list({ limit: 10_000 });
    const senders = new Set(mails.map((one) => one.from.toLowerCase()));
    return everyAgentId
      .filter((id) => senders.has(mailAddress(id)))
      .map((id) => ({
        name: `mails from ${mailAddress(id)}`,
        id,
        remove: () => mailbox.destroy(contextOfNobody(search, id)),
      }));
  },
};
