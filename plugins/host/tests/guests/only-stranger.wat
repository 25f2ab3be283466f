;; Insists on a node that is not there.
;;; pick
(call $verdict (i32.const 2) (i32.const -1))
