;; Says that its list has four thousand million bytes.
;;; pick
(call $list (i32.const 1024) (i32.const 0x3fffffff))
