-- Sells the last pieces of the item that was shown most so far.
UPDATE shop.inventory SET on_hand = 0
 WHERE sku = (SELECT action FROM decide.decision WHERE origin IS NULL GROUP BY action ORDER BY count(*) DESC, action LIMIT 1)
RETURNING sku
