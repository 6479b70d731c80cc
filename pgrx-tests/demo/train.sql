-- What makes a click likely: the item, the position, and the brand for each group of users.
SELECT decide.train('ctr', 'home', '{action,context.position,context.u1*action.brand}', l2 => 10)
