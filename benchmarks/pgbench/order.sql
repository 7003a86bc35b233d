-- Which pair is asked for next, of which show. Clients count each for themselves, so that together they go through the
-- world's pairs in one order, near enough; three in a hundred ask for a pair that was asked for before.
-- block: how many pairs are sold before the next ones are begun; shows: over how many shows these are spread.
\set i :i + 1
\set k :base + :i * :clients + :client_id
\set dice random(1, 1000)
\if :dice <= 30
\set k random(:base, :k)
\endif
\set p permute(:k % :block, :block, 7)
\set show :first + :k / :block * :shows + :p % :shows
\set a 2 * (:p / :shows) + 1
\set b :a + 1
