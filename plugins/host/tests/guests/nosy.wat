;; Asks for nothing, and parks for 1 when it is shown something all the same.
;;; pick
(call $verdict (i32.const 3)
  (i32.or (i32.or (local.get $has_hash) (local.get $has_key))
    (i32.or (local.get $has_owner) (i32.or (local.get $has_loads) (local.get $has_headers)))))
