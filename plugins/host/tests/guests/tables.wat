;; Fills tables until there are no more.
;;; module
(table $t 1 funcref)
;;; pick
(loop $ever
  (if (i32.eq (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)) (then unreachable))
  (br $ever))
unreachable
