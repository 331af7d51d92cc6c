"""Live Broker. The flow of `POST /token` in ten lines:

 1. `http.request_log` gives the request an id; `http.guards` checks its host, size and origin.
 2. `http.credentials` verifies who asks; `identity` rejects anyone who is blocked.
 3. `http.tokens` reads the body. With an Idempotency-Key, `idempotency.replay` wraps the next steps.
 4. `issuing.issue` performs all the steps from here on.
 5. `limits.policy` says what applies to the principal; `limits.limiter` counts the request.
 6. `profiles.catalog` finds the profile; `identity.issuers.attestation` checks the app.
 7. `minting` plans the token, and asks Google which models it offers.
 8. `store.ledger` reserves a session and its first token, in one short transaction.
 9. `minting.gemini` mints the token at Google; no transaction is open.
10. `store.ledger` confirms the token, or voids the reservation if anything failed.
"""
