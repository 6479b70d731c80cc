-- A row if something of a kind ($1) has, or in a bundle ever had, that name ($2).
SELECT 1 FROM decide.named AS n WHERE n.kind = $1 AND n.name = $2
 UNION ALL
SELECT 1 FROM decide.identity AS i WHERE i.kind = $1 AND i.name = $2
